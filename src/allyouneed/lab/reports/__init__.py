"""What is shown and kept of a run: figures, pages, tables, records, the scoreboard."""

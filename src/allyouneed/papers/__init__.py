"""The papers: one folder each, holding `notes.md` and `study.py` and nothing else."""

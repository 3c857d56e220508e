"""What is built of asking models: choosing whom to ask, when to believe an answer, and what to remember."""

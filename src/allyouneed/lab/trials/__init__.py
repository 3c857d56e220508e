"""What is run, found and stored: plans, digests, workers, results, artifacts."""

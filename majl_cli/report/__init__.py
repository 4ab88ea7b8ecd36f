"""What becomes of results: files, notes and plots."""

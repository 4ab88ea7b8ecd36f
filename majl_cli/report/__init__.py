"""What becomes of results: files, MIDI and plots."""

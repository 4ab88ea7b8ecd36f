"""Labels that a trained model makes for partly labelled tracks, how far to believe them, and which to keep."""

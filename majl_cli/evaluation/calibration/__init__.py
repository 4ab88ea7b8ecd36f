"""The voicing threshold and the confidence of a model, judged on labelled tracks and on audio without a voice."""

"""The command line: one file per subcommand, none of which imports PyTorch before it has work."""

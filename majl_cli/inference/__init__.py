"""Models on audio of any length: the chunk plan and overlap-add, streamed separation, streamed pitch, f0 to notes."""

"""What a network costs: multiply-adds, bytes and memory, worked out without running it on real numbers."""

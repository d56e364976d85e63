"""What only waits for a while, under a key: values that expire, are created once, or are set if nobody was faster."""

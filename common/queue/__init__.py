"""The queue: a hint of work. The store alone says what is true."""

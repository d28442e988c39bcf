"""What the exercises of lab 2 are judged by."""

"""What is still to be done outside, and who is at it: each job is held by one worker at a time."""

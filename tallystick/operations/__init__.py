"""Operations: the one table of all that a caller can do, and the one door through which changes enter."""

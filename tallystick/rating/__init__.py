"""Rating: a price and a quantity become one line of money that explains itself. Pure."""

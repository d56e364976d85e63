"""Slips: a number and a barcode that a store takes money for; announced first, settled later."""

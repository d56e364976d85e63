"""Requesting: any product asks for an invoice, line by line, and the service learns nothing of the product."""

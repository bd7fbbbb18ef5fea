"""What a month was like: for managers, and for auditors."""

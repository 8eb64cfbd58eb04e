"""Rooms for other programs: each needs that program, and nothing else imports them."""

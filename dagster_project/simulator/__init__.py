"""Seeded exports of any size, with planted causes: what the warehouse is shown and tested on."""

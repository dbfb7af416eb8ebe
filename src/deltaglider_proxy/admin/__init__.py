"""The admin API under `/_/api/`: who may administer, and everything that can be administered."""

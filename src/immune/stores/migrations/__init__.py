"""How an older store comes to the present shape: an Alembic environment, run by `migrate`."""

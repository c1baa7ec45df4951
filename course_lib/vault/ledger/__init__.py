"""What was asked, by whom, at which price: one writer, group commits. All SQL of the vault is in this folder.

floor 0   entry   one request, and why one was not taken
          books   counts for the page, in memory as in the ledger
          tables  the ledger as CSV, and the SQL behind each
floor 1   sqlite  the ledger in one SQLite file
"""

from course_lib.vault.ledger.books import Books
from course_lib.vault.ledger.entry import (
    Entry,
    Full,
    LedgerError,
    Refused,
)
from course_lib.vault.ledger.sqlite import Ledger

__all__ = ["Books", "Entry", "Full", "Ledger", "LedgerError", "Refused"]

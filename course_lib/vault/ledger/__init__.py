"""What was asked, by whom, at which price: one writer, group commits. All SQL of the vault is in this folder.

floor 0   entry   one request, and what became of it
          books   counts for the page, in memory as in the ledger
          forget  deletion on request
          tables  the ledger as CSV, and the SQL behind each
floor 1   schema  the tables, and how their file is opened
          writer  one thread that charges and appends, many requests to a COMMIT
floor 2   sqlite  the ledger in one SQLite file: every verb
"""

from course_lib.vault.ledger.books import Books
from course_lib.vault.ledger.entry import Entry, LedgerError
from course_lib.vault.ledger.sqlite import Ledger

__all__ = ["Books", "Entry", "Ledger", "LedgerError"]

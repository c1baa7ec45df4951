"""Deletion on request: nobody can tell any more whose rows these were."""


def forget(db, pseudonym, now):
    """In the writer's transaction: keys are revoked and renamed; ids, addresses, answers go. The numbers of the keys.

    A cohort that stands for a network (door.cohort_of) goes like an address. What was counted and charged stays.
    """
    ids = [row[0] for row in db.execute("SELECT id FROM keys WHERE pseudonym = ?", (pseudonym,))]
    for i in ids:
        db.execute(
            "UPDATE keys SET pseudonym = 'forgotten-' || id, hash = randomblob(32), revoked = coalesce(revoked, ?)"
            " WHERE id = ?",
            (now, i),
        )
        db.execute(
            "UPDATE requests SET address = NULL, request_id = NULL, body = NULL, features = NULL, answers = NULL"
            " WHERE key = ?",
            (i,),
        )
        alone = (
            "SELECT cohort FROM requests WHERE key = ? AND cohort GLOB 'network *'"
            " EXCEPT SELECT cohort FROM requests WHERE key <> ?"
        )
        db.execute(
            f"UPDATE alarms SET cohort = 'forgotten', ended = coalesce(ended, ?) WHERE cohort IN ({alone})",
            (now, i, i),
        )
        db.execute("UPDATE requests SET cohort = 'forgotten' WHERE key = ? AND cohort GLOB 'network *'", (i,))
    return ids

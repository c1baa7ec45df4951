"""What is in force now: one policy, and whether the vault answers at all; and what follows from that for a key."""

from course_lib.vault.limits import Limit


class InForce:
    """policy, paused and closed: what the door reads at every question, and service.py changes.

    prices: {a policy's version: cents per 1,000 rows} of every policy that was in force, as far as they can be read.
    """

    def __init__(self, policy, prices):
        self.policy, self.prices, self.paused, self.closed = policy, prices, False, False
        self.made = {}  # {(key's id, cohort): its limits}

    def adopt(self, policy):
        """Another policy, from the next question on."""
        self.policy = policy
        self.prices[policy.version] = policy.price.cents_per_1000_rows
        self.made.clear()

    def limits(self, key_id, cohort):
        """The Limits of a key of a cohort: a tuple, empty where there are none."""
        limits = self.made.get((key_id, cohort))
        if limits is None:
            force = self.policy.limits
            limits = (
                Limit(("key", key_id), force.rows_per_minute_per_key, force.burst_per_key),
                Limit(("cohort", cohort), force.rows_per_minute_per_cohort, force.burst_per_cohort),
            )
            limits = self.made[key_id, cohort] = tuple(limit for limit in limits if limit.rate)
        return limits

    def slow(self, key_id):
        """The Limit of a key that is unusual, where an alarm slows it down."""
        return Limit(("unusual key", key_id), self.policy.monitor.slow_rows_per_minute)

    def budget(self, key):
        """The rows that a Key may ask in all, its own number or the policy's; None: any number."""
        return key.budget if key.budget is not None else self.policy.limits.budget_per_key or None

    def price_under(self, version):
        """Cents per 1,000 rows under an earlier policy; where that cannot be read any more, today's."""
        return self.prices.get(version, self.policy.price.cents_per_1000_rows)

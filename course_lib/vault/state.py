"""What the page shows and what a key may know, as dicts: JSON-able, pseudonyms only, and no clock in them.

Questions go on while one is made: whatever may grow meanwhile is copied before it is gone through.
"""

from course_lib.vault.policy import in_words


def snapshot(service):
    """See the keys of the dict. Rates are means of the last 10 whole seconds; seconds: rows in each of the last 120."""
    now, books, policy, watchers = service.clock(), service.books, service.policy, service.watchers
    per_row = policy.price.cents_per_1000_rows / 1000
    key_rates, cohort_rates = books.rates(now)
    keys, names = list(service.keyring.by_id.values()), {}
    for key in keys:
        if policy.identity.cohort_by != "address":
            names.setdefault(service.door.cohort_of(key, ""), []).append(key)
    for name in list(books.cohort_rows):
        names.setdefault(name, [])
    rows = sum(list(books.rows.values()))
    return {
        "class": service.class_name,
        "paused": service.paused,
        "totals": {
            "rows": rows,
            "requests": sum(list(books.requests.values())),
            "refused": sum(list(books.refused.values())),
            "alarms": watchers.count,
            "cents": round(rows * per_row, 6),
            "rows_per_second": round(sum(key_rates.values()), 1),
        },
        "seconds": books.chart(now),
        "keys": [_key(service, key, key_rates, per_row, now) for key in keys],
        "cohorts": [_cohort(service, name, names[name], cohort_rates, per_row) for name in sorted(names)],
        "alarms": [_alarm(service, alarm) for alarm in watchers.alarms()],
        "policy": {
            "version": policy.version,
            "text": policy.text,
            "models": list(service.victims),
            "refused": service.refused_policy,
        },
    }


def usage(service, key):
    """What a key has used, and what it has left."""
    budget, cents = service.in_force.budget(key), service.policy.price.cents_per_1000_rows
    return {
        "pseudonym": key.pseudonym,
        "cohort": key.cohort,
        "scope": key.scope,
        "spent": key.spent,
        "budget": budget,
        "budget_left": None if budget is None else max(0, budget - key.spent),
        "requests": service.books.requests[key.id],
        "refused": service.books.refused[key.id],
        "cents": round(key.spent * cents / 1000, 6),
        "cents_per_1000_rows": cents,
        "expires": key.expires,
        "accepted_rules": key.accepted_rules is not None,
    }


def terms(policy):
    """What a key may know of a Policy: what it gets, how much of it, at what price; how it is watched in words alone."""
    return {
        "version": policy.version,
        "output": {name: getattr(policy.output, name) for name in ("kind", "top_k", "decimals")},
        "limits": {name: getattr(policy.limits, name) for name in type(policy.limits).__dataclass_fields__},
        "limits_count": "rows",
        "monitored": policy.monitor.enabled,
        "who": policy.identity.who,
        "keys_per_person": policy.identity.keys_per_person,
        "cents_per_1000_rows": policy.price.cents_per_1000_rows,
        "words": in_words(policy),
    }


def model(victim):
    """A Victim as it is listed."""
    return {
        "id": victim.name,
        "shape": list(victim.shape),
        "classes": len(victim.classes),
        "class_names": list(victim.classes),
        "parameters": victim.parameters,
    }


def _key(service, key, rates, per_row, now):
    budget = service.in_force.budget(key)
    return {
        "id": key.id,
        "pseudonym": key.pseudonym,
        "cohort": key.cohort,
        "scope": key.scope,
        "rows": service.books.rows[key.id],
        "requests": service.books.requests[key.id],
        "refused": service.books.refused[key.id],
        "rows_per_second": rates.get(key.id, 0.0),
        "budget": budget,
        "budget_left": None if budget is None else max(0, budget - key.spent),
        "cents": round(service.books.rows[key.id] * per_row, 6),
        "revoked": key.revoked is not None,
        "expired": key.expires is not None and now >= key.expires,
        "accepted_rules": key.accepted_rules is not None,
        "unusual": sorted({alarm.statistic for alarm in service.watchers.alarmed([("key", key.id)])}),
    }


def _cohort(service, name, keys, rates, per_row):
    rows, budget = service.books.cohort_rows[name], service.policy.limits.budget_per_cohort or None
    return {
        "name": name,
        "keys": len(keys),
        "rows": rows,
        "rows_per_second": rates.get(name, 0.0),
        "budget": budget,
        "budget_left": None if budget is None else max(0, budget - rows),
        "cents": round(rows * per_row, 6),
        "unusual": sorted({alarm.statistic for alarm in service.watchers.alarmed([("cohort", name)])}),
    }


def _alarm(service, alarm):
    key = service.keyring.by_id.get(alarm.who) if alarm.per == "key" else None
    return {
        "id": alarm.id,
        "at": alarm.at,
        "who": key.pseudonym if key else str(alarm.who),
        "key": key.id if key else None,
        "per": alarm.per,
        "model": alarm.model,
        "statistic": alarm.statistic,
        "value": float(alarm.value),
        "threshold": float(alarm.threshold),
        "false_alarm_rate": alarm.false_alarm_rate,
        "action": alarm.action,
        "rows": alarm.rows,
        "ended": alarm.ended,
        "sentence": alarm.sentence(),
    }

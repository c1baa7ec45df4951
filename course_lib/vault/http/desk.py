"""What an instructor tells a vault: keys, cohort, revoke, lift, expire, pause, policy, forget, stop, state.

The same calls over HTTP (POST /v1/instructor/NAME, from the vault's own computer only) and in this process.
"""

from course_lib.files import quoted
from course_lib.vault.http.request import fields, malformed
from course_lib.vault.policy import PolicyError
from course_lib.vault.refusal import Refusal


def desk(service, stop=lambda: None):
    """{name: function of the JSON object that was sent -> JSON object}. Raises Refusal."""

    def state(said):
        fields(said)
        return service.snapshot()

    def keys(said):
        pseudonym, cohort, scope, budget, expires, hours, accepted = fields(
            said,
            pseudonym=str,
            cohort=(str, "class"),
            scope=(str, "predict"),
            budget=(int, None),
            expires=(float, None),
            hours=(float, None),
            accepted=(bool, False),
        )
        if hours is not None and expires is not None:
            raise malformed("A key ends at a time, `expires`, or after so many `hours`; both came.")
        try:
            expires = expires if hours is None else service.end_in(hours)
            token = service.new_key(pseudonym, cohort=cohort, scope=scope, budget=budget, expires=expires)
        except ValueError as error:
            raise malformed(str(error)) from None
        if accepted:
            service.accept_rules(token)
        return {"object": "key", "key": token, "id": service.identify(token).id}

    def cohort(said):
        key, name = fields(said, id=int, cohort=str)
        try:
            service.set_cohort(key, name)
        except KeyError as error:
            raise Refusal(404, error.args[0], "no-key") from None
        except ValueError as error:
            raise malformed(str(error)) from None
        return {"object": "key", "id": key, "cohort": name}

    def revoke(said):
        (key,) = fields(said, id=int)
        try:
            service.revoke(key)
        except KeyError as error:
            raise Refusal(404, error.args[0], "no-key") from None
        return {"object": "key", "id": key, "revoked": True}

    def lift(said):
        key, cohort = fields(said, key=(int, None), cohort=(str, None))
        if (key is None) == (cohort is None):
            raise malformed("Say whose alarms end: a `key`, by its number, or a `cohort`, by its name.")
        if key is not None and key not in service.keyring.by_id:
            raise Refusal(404, f"there is no key {quoted(key)}", "no-key")
        seen = cohort in service.books.cohort_rows or service.watchers.alarmed([("cohort", cohort)])
        if cohort is not None and not seen:
            raise Refusal(404, f"no key of a cohort {quoted(cohort)} has asked anything", "no-cohort")
        service.pardon(key_id=key, cohort=cohort)
        return {"object": "alarm", "lifted": True}

    def expire(said):
        fields(said)
        service.expire(service.class_name)
        return {"object": "class", "class": service.class_name, "expired": True}

    def pause(said):
        (paused,) = fields(said, paused=bool)
        service.pause(paused)
        return {"object": "vault", "paused": paused}

    def policy(said):
        (text,) = fields(said, text=str)
        try:
            service.set_policy(text)
        except PolicyError as error:
            raise malformed(f"The policy stays as it was: {error}") from None
        return {"object": "policy", "version": service.policy.version}

    def forget(said):
        (pseudonym,) = fields(said, pseudonym=str)
        try:
            service.forget(pseudonym)
        except KeyError as error:
            raise Refusal(404, error.args[0], "no-pseudonym") from None
        return {"object": "pseudonym", "forgotten": True}

    def stopping(said):
        fields(said)
        stop()
        return {"object": "vault", "stopping": True}

    calls = (state, keys, cohort, revoke, lift, expire, pause, policy, forget)
    return {call.__name__: call for call in calls} | {"stop": stopping}

"""A policy in words, as a key may know it: what leaves, how much, for whom, what is watched, and at what price.

The monitor's thresholds and the share of planted answers stay with whoever sets the policy; that there are some is said.
"""

FOLLOWS = {
    "log": "is written down, and nothing else happens",
    "slow": "is slowed down",
    "coarsen": "gets labels only",
    "block": "gets no more answers",
}


def in_words(policy):
    """The sentences of a Policy."""
    price = policy.price.cents_per_1000_rows
    return [
        *_output(policy.output),
        *(["Some answers are wrong on purpose, so that a copy can be told."] if policy.planted.share else []),
        *_limits(policy.limits, "A key", "key"),
        *_limits(policy.limits, "All keys of a cohort together", "cohort"),
        f"A key is for {policy.identity.who}. Keys act together by {policy.identity.cohort_by}.",
        _monitor(policy.monitor),
        f"A thousand questions cost {price:g} cents, a stated price: nobody pays.",
    ]


def _output(output):
    if output.kind == "label":
        return ["An answer is the label alone."]
    what = f"the {output.top_k} largest probabilities" if output.top_k else "all probabilities"
    how = f", rounded to {output.decimals} decimals" if output.decimals else ", in full precision"
    changed = [
        (output.temperature != 1, f"softened at T = {output.temperature:g}"),
        (output.reverse_sigmoid.beta, "bent by a reverse sigmoid"),
        (output.noise, "with noise that is the same whenever the question is"),
        (output.fresh_noise, "with noise that is new at every question"),
    ]
    changed = [words for on, words in changed if on]
    return [f"An answer is {what}{how}{'; ' * bool(changed)}{', '.join(changed)}."]


def _limits(limits, who, unit):
    minute, burst, budget = (getattr(limits, f"{name}_per_{unit}") for name in ("rows_per_minute", "burst", "budget"))
    pace = f"{minute:,} questions a minute" + (f", {burst:,} of them at once" if burst else "")
    parts = [pace] * bool(minute) + [f"{budget:,} questions in all"] * bool(budget)
    return [f"{who} may ask {', and '.join(parts)}."] if parts else []


def _monitor(monitor):
    if not monitor.enabled:
        return "Nothing is watched."
    unit = {"both": "a key or a cohort"}.get(monitor.per, f"a {monitor.per}")
    return f"What {unit} asks is watched; what is unusual {FOLLOWS[monitor.action]}."

"""The rules of engagement: what a key's holder agrees to before the first question."""

RULES = (
    "Ask only this vault, and only with your own key. Everything here was made to be attacked; nothing else was.",
    "What you learn here you use on models that you may attack: your own, or those whose owner has agreed.",
    "Your key is a pseudonym. Do not put a name, or anything else about a person, into it or into a question.",
    "Every question is written down: which key, when, how many rows, at which price; not from which address exactly.",
    "An alarm says that a key's questions are unusual. It accuses nobody, and honest work raises some.",
    "Whoever runs the vault may pause it, revoke a key and change the policy. Keys end with the class.",
    "If you find a way in that was not meant, tell whoever runs the vault first.",
)
TEXT = "\n".join(f"{number}. {rule}" for number, rule in enumerate(RULES, 1))

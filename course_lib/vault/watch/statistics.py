"""The five numbers by name, as the policy's [monitor] has them, and which side of a threshold is unusual.

volume           rows in the last hour
coverage         share of the input space's cells that were visited (after Kesarwani et al., 2018)
prada_delta      Shapiro-Wilk's W of the distances to earlier questions with the same answer (Juuti et al., 2019)
ood_share        share of the last 200 rows that look like no picture we know
duplicate_share  share of the last 200 rows that nearly repeat an earlier one
"""

STATISTICS = ("volume", "coverage", "prada_delta", "ood_share", "duplicate_share")
BELOW = ("prada_delta",)  # unusual where it is low; the others where they are high
NAMES = {
    "volume": "rows in the last hour",
    "coverage": "share of the input space visited",
    "prada_delta": "normality of the distances between questions (W)",
    "ood_share": "share of questions that look like no known picture",
    "duplicate_share": "share of questions that nearly repeat another",
}

"""What the numbers say: statistics, effects of variants, verdicts on claims. Pure: values in, frozen values out."""

"""UnionPay: the aggregated JSON interface, and ACP 5.1.0 for codes shown to the payer."""

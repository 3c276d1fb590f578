"""ISO 20022 messages between us and our bank: orders out, answers and statements in. All pure.

Every message has a module: `encode` makes its bytes, `decode` reads them or raises MessageRefused.
What is built is valid by the published schema; what is read must name the exact version, hold each
field that we use once and in its format, and agree with its own sums.
"""

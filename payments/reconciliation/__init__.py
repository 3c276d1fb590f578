"""Reconciliation: what our rows say against a channel's bill, and a bill against the bank.

It decides nothing about money: it finds differences, explains them and proposes what to do. Every
file here is pure; rows, files and time are passed in.
"""

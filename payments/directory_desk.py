"""The directory's counter: one request on reference data in, one decision out.

    desk = Desk(register, mint, entropy, livemode)
    decision = desk.decide(Question(...), now_ms, real_ms)     # PaymentError: the refusal
    for record in decision.records: register.apply(record)

Deciding changes nothing. Which operation needs which scope stands in OPERATIONS, on one screen.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from payments.directory import (
    Holder,
    MerchantChange,
    NewKey,
    NewMerchant,
    NewPlate,
    NewStore,
    NewTerminal,
    PlateChange,
    Rotation,
    change_merchant,
    change_plate,
    create_key,
    create_merchant,
    create_plate,
    create_store,
    create_terminal,
    place_merchant,
    refuse_closed,
    refuse_too_many,
    revoke_key,
    rotate_key,
)
from payments.directory_access import (
    PAYOUTS_WRITE,
    acting_merchant,
    grantable,
    may_set_payout,
    may_set_status,
    reachable,
    refuse_both_hands,
)
from payments.directory_accounts import AccountCounter
from payments.directory_counter import (
    PLATFORM_PARTITION,
    Decision,
    Question,
    filtered,
    refuse_filters,
)
from payments.directory_view import wish_of
from payments.errors import (
    InsufficientScope,
    InvalidField,
    NotFound,
)
from payments.ids import partition_of
from payments.reference import (
    Key,
    KeyOwner,
    Merchant,
    MerchantStatus,
    Plate,
    Receiver,
    Record,
    SplitRule,
    Store,
    Terminal,
)
from payments.splitting.wishes import (
    OWNER_RECEIVERS_MAX,
    OWNER_RULES_MAX,
    NewReceiver,
    NewSplitRule,
    ReceiverChange,
    SplitRuleChange,
    change_receiver,
    change_rule,
    create_receiver,
    create_rule,
    refuse_full,
)


class Desk(AccountCounter):
    """Decides over the register it was given; the caller applies and stores."""

    def decide(self, question: Question, now_ms: int, real_ms: int) -> Decision:
        """`now_ms`: business time, of what is created; `real_ms`: of keys. Raise PaymentError."""
        self._now_ms, self._real_ms = now_ms, real_ms
        found = OPERATIONS.get(question.op)
        if found is None:
            raise NotFound(f"there is no {question.op}")
        scope, decide = found
        return decide(self, self.admit(question.caller, scope, real_ms), question)

    def again(self, op: str, key_id: str, object_id: str, real_ms: int) -> dict[str, Any]:
        """The object of an earlier `op` as it stands now, without its secret. PaymentError."""
        found = OPERATIONS.get(op)
        if found is None:
            raise NotFound(f"there is no {op}")
        caller = self.admit(key_id, found[0], real_ms)
        self._real_ms = real_ms
        return self.show(reachable(self._register, caller, self._register.get(object_id)))

    # --- merchants ----------------------------------------------------------------------------

    def _create_merchant(self, caller: Key, question: Question) -> Decision:
        wish = wish_of(NewMerchant, question.body)
        if caller.owner is KeyOwner.MERCHANT:
            raise InsufficientScope("merchants are created by a platform or an operator")
        platform = caller.platform if caller.owner is KeyOwner.PLATFORM else wish.platform
        if wish.platform is not None and wish.platform != platform:
            raise NotFound("no such platform for this key", param="platform")
        if platform is not None and not self._register.has_platform(platform):
            raise NotFound("no such platform; make its key first", param="platform")
        number, partition = place_merchant(self._register, dedicated=wish.dedicated)
        merchant = create_merchant(
            wish,
            platform=platform,
            identifier=self._mint.new("mch", self._now_ms, partition),
            number=number,
            partition=partition,
            # In live mode somebody looks first; in test mode nobody has to wait for that.
            status=MerchantStatus.APPLICATION if self._livemode else MerchantStatus.ACTIVE,
            now_ms=self._now_ms,
        )
        return self._created(merchant)

    def _get_merchant(self, caller: Key, question: Question) -> Decision:
        return self._found(self._target(caller, question, Merchant))

    def _update_merchant(self, caller: Key, question: Question) -> Decision:
        merchant = self._target(caller, question, Merchant)
        wish = wish_of(MerchantChange, question.body)
        if wish.status is not None:
            may_set_status(caller, merchant, wish.status, livemode=self._livemode)
        if wish.payout is not None:
            may_set_payout(caller)
        return self._changed(change_merchant(merchant, wish))

    def _list_merchants(self, caller: Key, question: Question) -> Decision:
        register, query = self._register, question.query
        refuse_filters(query, {"status", "platform"})
        records: list[Record]
        match caller.owner:
            case KeyOwner.OPERATOR:
                records = list(register.merchants_newest_first())
            case KeyOwner.PLATFORM:
                records = list(reversed(register.merchants_of_platform(caller.platform or "")))
            case _:
                own = register.merchant(caller.merchant)
                records = [own] if own is not None else []
        for name in ("status", "platform"):
            if name in query:
                records = [each for each in records if getattr(each, name) == query[name]]
        return self._listed(records, "/v1/merchants", query)

    # --- stores and terminals -----------------------------------------------------------------

    def _create_store(self, caller: Key, question: Question) -> Decision:
        merchant = self._merchant(caller, question)
        refuse_too_many(self._register, merchant.id)
        wish = wish_of(NewStore, question.body)
        identifier = self._mint.new("sto", self._now_ms, merchant.partition)
        return self._created(
            create_store(wish, merchant=merchant, identifier=identifier, now_ms=self._now_ms)
        )

    def _get_store(self, caller: Key, question: Question) -> Decision:
        return self._found(self._target(caller, question, Store))

    def _list_stores(self, caller: Key, question: Question) -> Decision:
        refuse_filters(question.query, set())
        records = self._members(self._merchant(caller, question).id, Store)
        return self._listed(records, "/v1/stores", question.query)

    def _create_terminal(self, caller: Key, question: Question) -> Decision:
        merchant = self._merchant(caller, question)
        refuse_too_many(self._register, merchant.id)
        wish = wish_of(NewTerminal, question.body)
        terminal = create_terminal(
            wish,
            merchant=merchant,
            store=self._register.store(wish.store),
            identifier=self._mint.new("trm", self._now_ms, merchant.partition),
            now_ms=self._now_ms,
        )
        return self._created(terminal)

    def _get_terminal(self, caller: Key, question: Question) -> Decision:
        return self._found(self._target(caller, question, Terminal))

    def _list_terminals(self, caller: Key, question: Question) -> Decision:
        refuse_filters(question.query, {"store"})
        records = self._members(self._merchant(caller, question).id, Terminal)
        store = question.query.get("store")
        if store is not None:
            records = [each for each in records if getattr(each, "store", None) == store]
        return self._listed(records, "/v1/terminals", question.query)

    # --- plates -------------------------------------------------------------------------------

    def _create_plate(self, caller: Key, question: Question) -> Decision:
        merchant = self._merchant(caller, question)
        refuse_too_many(self._register, merchant.id)
        wish = wish_of(NewPlate, question.body)
        plate = create_plate(
            wish,
            merchant=merchant,
            store=self._register.store(wish.store),
            identifier=self._mint.new("qrp", self._now_ms, merchant.partition),
            now_ms=self._now_ms,
        )
        return self._created(plate)

    def _get_plate(self, caller: Key, question: Question) -> Decision:
        return self._found(self._target(caller, question, Plate))

    def _update_plate(self, caller: Key, question: Question) -> Decision:
        plate = self._target(caller, question, Plate)
        return self._changed(change_plate(plate, wish_of(PlateChange, question.body)))

    def _list_plates(self, caller: Key, question: Question) -> Decision:
        refuse_filters(question.query, {"store", "status"})
        records = self._members(self._merchant(caller, question).id, Plate)
        records = filtered(records, question.query, "store", "status")
        return self._listed(records, "/v1/qr_plates", question.query)

    # --- receivers and split rules ------------------------------------------------------------

    def _create_receiver(self, caller: Key, question: Question) -> Decision:
        wish = wish_of(NewReceiver, question.body)
        if wish.payout is not None:
            may_set_payout(caller)
        if wish.merchant is not None and question.merchant not in (None, wish.merchant):
            raise InvalidField("this request acts for another merchant", param="/merchant")
        asked = wish.merchant or question.merchant
        merchant = acting_merchant(self._register, caller, asked)
        platform = caller.platform if caller.owner is KeyOwner.PLATFORM else None
        if merchant is None and platform is None:
            raise InvalidField("say for which merchant it is", param="/merchant")
        owner = platform or "" if merchant is None else merchant.id
        refuse_full(self._register, owner, "rcv_", OWNER_RECEIVERS_MAX)
        partition = PLATFORM_PARTITION if merchant is None else merchant.partition
        receiver = create_receiver(
            wish,
            merchant=merchant,
            platform=platform,
            identifier=self._mint.new("rcv", self._now_ms, partition),
            now_ms=self._now_ms,
        )
        return self._created(receiver)

    def _get_receiver(self, caller: Key, question: Question) -> Decision:
        return self._found(self._target(caller, question, Receiver))

    def _update_receiver(self, caller: Key, question: Question) -> Decision:
        receiver = self._target(caller, question, Receiver)
        wish = wish_of(ReceiverChange, question.body)
        if wish.payout is not None:
            may_set_payout(caller)
        return self._changed(change_receiver(receiver, wish))

    def _list_receivers(self, caller: Key, question: Question) -> Decision:
        """The acting merchant's own; a platform's without a merchant: the platform's own."""
        refuse_filters(question.query, {"status"})
        owner = caller.platform
        if owner is None or question.merchant is not None:
            owner = self._merchant(caller, question).id
        records = filtered(self._members(owner, Receiver), question.query, "status")
        return self._listed(records, "/v1/receivers", question.query)

    def _create_rule(self, caller: Key, question: Question) -> Decision:
        merchant = self._merchant(caller, question)
        refuse_full(self._register, merchant.id, "spl_", OWNER_RULES_MAX)
        wish = wish_of(NewSplitRule, question.body)
        rule = create_rule(
            wish,
            merchant=merchant,
            store=self._register.store(wish.match.store or ""),
            receiver=self._register.receiver,
            identifier=self._mint.new("spl", self._now_ms, merchant.partition),
            now_ms=self._now_ms,
        )
        return self._created(rule)

    def _get_rule(self, caller: Key, question: Question) -> Decision:
        return self._found(self._target(caller, question, SplitRule))

    def _update_rule(self, caller: Key, question: Question) -> Decision:
        rule = self._target(caller, question, SplitRule)
        return self._changed(change_rule(rule, wish_of(SplitRuleChange, question.body)))

    def _list_rules(self, caller: Key, question: Question) -> Decision:
        refuse_filters(question.query, {"store", "status"})
        records = self._members(self._merchant(caller, question).id, SplitRule)
        records = filtered(records, question.query, "store", "status")
        return self._listed(records, "/v1/split_rules", question.query)

    # --- keys ---------------------------------------------------------------------------------

    def _create_key(self, caller: Key, question: Question) -> Decision:
        wish = wish_of(NewKey, question.body)
        grantable(caller, wish.scopes)
        holder = self._holder(caller, question, wish)
        refuse_too_many(self._register, holder.merchant or holder.platform or "")
        partition = partition_of(holder.merchant) if holder.merchant else PLATFORM_PARTITION
        key, secret = create_key(
            wish,
            holder,
            identifier=self._mint.new("key", self._now_ms, partition),
            entropy=self._entropy,
            livemode=self._livemode,
            now_ms=self._now_ms,
        )
        return self._created(key, secret)

    def _holder(self, caller: Key, question: Question, wish: NewKey) -> Holder:
        """For whom the key is made: the acting merchant or its terminal, else the caller's kind."""
        merchant = acting_merchant(self._register, caller, question.merchant)
        if caller.owner is not KeyOwner.OPERATOR and (wish.roles or wish.platform):
            raise InsufficientScope("keys with roles or of a platform are made by an operator")
        if merchant is not None:
            if wish.roles or wish.platform:
                raise InvalidField("a merchant's key has neither roles nor a platform")
            refuse_closed(merchant)
            return self._merchant_holder(merchant, wish.terminal)
        if wish.terminal is not None:
            raise InvalidField("say with Tillway-Merchant whose terminal it is", param="terminal")
        if caller.owner is KeyOwner.PLATFORM:
            return Holder(KeyOwner.PLATFORM, platform=caller.platform)
        if bool(wish.roles) == bool(wish.platform):
            raise InvalidField("say `roles`, `platform`, or Tillway-Merchant", param="roles")
        if wish.platform:
            return Holder(KeyOwner.PLATFORM, platform=wish.platform)
        refuse_both_hands(wish.roles)
        return Holder(KeyOwner.OPERATOR, roles=tuple(sorted(set(wish.roles))))

    def _merchant_holder(self, merchant: Merchant, terminal_id: str | None) -> Holder:
        if terminal_id is None:
            return Holder(KeyOwner.MERCHANT, merchant.id)
        terminal = self._register.terminal(terminal_id)
        if terminal is None or terminal.merchant != merchant.id:
            raise NotFound("no such terminal", param="terminal")
        return Holder(KeyOwner.TERMINAL, merchant.id, store=terminal.store, terminal=terminal.id)

    def _list_keys(self, caller: Key, question: Question) -> Decision:
        refuse_filters(question.query, set())
        merchant = acting_merchant(self._register, caller, question.merchant)
        owner = merchant.id if merchant is not None else caller.platform or ""
        return self._listed(self._members(owner, Key), "/v1/keys", question.query)

    def _get_key(self, caller: Key, question: Question) -> Decision:
        return self._found(self._target(caller, question, Key))

    def _rotate_key(self, caller: Key, question: Question) -> Decision:
        old = self._target(caller, question, Key)
        grantable(caller, old.scopes)
        old_ended, new, secret = rotate_key(
            old,
            wish_of(Rotation, question.body),
            identifier=self._mint.new("key", self._now_ms, partition_of(old.id)),
            entropy=self._entropy,
            real_ms=self._real_ms,
            now_ms=self._now_ms,
        )
        body = {**self.show(new), "secret": secret, "replaces": self.show(old_ended)}
        return Decision(201, body, (old_ended, new), new.id)

    def _revoke_key(self, caller: Key, question: Question) -> Decision:
        key = revoke_key(self._target(caller, question, Key), real_ms=self._real_ms)
        return Decision(200, self.show(key), (key,), key.id)


Decide = Callable[[Desk, Key, Question], Decision]

OPERATIONS: Final[Mapping[str, tuple[str, Decide]]] = {
    "merchants.create": ("merchants:write", Desk._create_merchant),
    "merchants.get": ("merchants:read", Desk._get_merchant),
    "merchants.list": ("merchants:read", Desk._list_merchants),
    "merchants.update": ("merchants:write", Desk._update_merchant),
    "stores.create": ("merchants:write", Desk._create_store),
    "stores.get": ("merchants:read", Desk._get_store),
    "stores.list": ("merchants:read", Desk._list_stores),
    "terminals.create": ("merchants:write", Desk._create_terminal),
    "terminals.get": ("merchants:read", Desk._get_terminal),
    "terminals.list": ("merchants:read", Desk._list_terminals),
    "plates.create": ("merchants:write", Desk._create_plate),
    "plates.get": ("merchants:read", Desk._get_plate),
    "plates.list": ("merchants:read", Desk._list_plates),
    "plates.update": ("merchants:write", Desk._update_plate),
    "receivers.create": ("merchants:write", Desk._create_receiver),
    "receivers.get": ("merchants:read", Desk._get_receiver),
    "receivers.list": ("merchants:read", Desk._list_receivers),
    "receivers.update": ("merchants:write", Desk._update_receiver),
    "split_rules.create": ("merchants:write", Desk._create_rule),
    "split_rules.get": ("merchants:read", Desk._get_rule),
    "split_rules.list": ("merchants:read", Desk._list_rules),
    "split_rules.update": ("merchants:write", Desk._update_rule),
    "settlement_accounts.create": (PAYOUTS_WRITE, Desk._create_account),
    "settlement_accounts.confirm": (PAYOUTS_WRITE, Desk._confirm_account),
    "settlement_accounts.get": ("payouts:read", Desk._get_account),
    "settlement_accounts.list": ("payouts:read", Desk._list_accounts),
    "keys.create": ("keys:write", Desk._create_key),
    "keys.get": ("keys:read", Desk._get_key),
    "keys.list": ("keys:read", Desk._list_keys),
    "keys.rotate": ("keys:write", Desk._rotate_key),
    "keys.revoke": ("keys:write", Desk._revoke_key),
}
"""Operation -> (scope that the caller needs, what decides it). `keys:read` comes with write."""

"""The courier's box: its store, its way out, its links. Imported in its process alone."""

from random import Random

from actors.courier import CourierActor, CourierOptions
from actors.courier_lanes import DeliveryLimits
from actors.link import Dialer
from actors.placement import DIRECTORY, shard_name
from actors.process import Boxed, Spec
from gateway.processes import Place, identity_of, placement_of, read_settings
from gateway.webhook_sender import WebhookSender
from payments.addresses import Reach
from payments.ids import Entropy
from payments.storage.courier import FILE_NAME, CourierStore

SEED_BYTES = 8


def build(spec: Spec, place: Place) -> Boxed:
    """One courier a deployment."""
    settings = read_settings(spec.settings_path)
    livemode = settings.mode == "live"
    webhooks = settings.webhooks
    reach = Reach(livemode, webhooks.private_networks)
    limits = DeliveryLimits(
        webhooks.wire_max,
        webhooks.endpoint_wire_max,
        webhooks.pending_max,
        webhooks.retry_scale_ppm,
    )
    store = CourierStore(settings.data_path / FILE_NAME, livemode=livemode, clock=place.clock)
    sender = WebhookSender(reach, webhooks.wire_max, timeout_s=webhooks.timeout_s)
    entropy = Entropy()
    placement = placement_of(settings)
    courier = CourierActor(
        CourierOptions(spec.name, reach, limits),
        store,
        sender,
        place.clock,
        entropy,
        Random(int.from_bytes(entropy.bytes(SEED_BYTES), "big")),  # noqa: S311 - jitter
        lambda partition: placement.shard_of[partition],
    )
    identity = identity_of(spec, settings)
    box = Boxed(spec, identity, place.network, place.address, courier, courier.stats, courier.drain)
    shards = [
        Dialer(place.network, lambda name=name: place.address(name), courier, identity)  # type: ignore[misc]
        for name in map(shard_name, range(settings.shards.count))
    ]
    box.dialers = [
        *shards,
        Dialer(place.network, lambda: place.address(DIRECTORY), courier, identity),
    ]

    async def open_store() -> None:
        courier.open(shards)

    box.before.append(open_store)
    box.tasks.append(courier.run)
    box.after.append(courier.finish)
    box.abandon.append(store.abandon)
    return box

"""The `alipay` channel: Alipay's OpenAPI (gateway.do, version 1.0), both sides of the wire."""

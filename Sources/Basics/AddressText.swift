/// An address as people write it: `db:7400`, `[::1]:7400`, or a Unix socket's `unix:/path`, which has no port.
package func addressText(host: String, port: UInt16) -> String {
    if host.hasPrefix("unix:") { return host }
    return host.contains(":") && !host.hasPrefix("[") ? "[\(host)]:\(port)" : "\(host):\(port)"
}

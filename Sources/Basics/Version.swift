/// The version of this software, as CHANGELOG.md counts it; not the version of the protocol. It stands here alone: `--version`,
/// the man pages and the packages take it from here, and `tools/dev/check` compares it with the changelog.
public let lifelineVersion = "0.1.0"

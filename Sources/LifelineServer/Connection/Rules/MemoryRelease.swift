import Basics

/// Decides when a process gives memory back that it has freed: malloc(3) keeps it, for days where the connection is quiet.
///
/// It costs some page faults if the memory is needed again at once. So it is done a while after much was freed, and
/// not more often.
struct MemoryRelease {
    /// As little as this is kept for good.
    static let least = 1 << 20
    static let pause = Duration.seconds(1)

    /// The most that was held since the last release.
    private var most = 0
    private var held = 0
    /// When to release what is free; nil where that is little.
    private(set) var deadline: Instant?
    @inline(__always) var isArmed: Bool { deadline != nil }

    /// The connection holds this many bytes now.
    @inline(__always) mutating func holds(_ bytes: Int, at now: Instant) {
        guard bytes != held else { return }
        held = bytes
        if bytes > most { most = bytes }
        if deadline == nil, most - bytes >= MemoryRelease.least { deadline = now + MemoryRelease.pause }
    }

    /// Whether to release what is free, at `now`.
    mutating func isDue(at now: Instant) -> Bool {
        guard let deadline, deadline <= now else { return false }
        self.deadline = nil
        most = held
        return true
    }
}

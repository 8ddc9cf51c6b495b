import Posix

/// Where processes introduce themselves to the router: a channel that every process inherits. A process sends one end of a
/// socket pair through it, and keeps the other: its tie.
///
/// The channel has no name, so nobody but this server's own processes can come to the router. It outlives the router: what
/// was sent while there was none waits for the next.
final class RouterLobby {
    /// The end that every process has.
    final class Entrance: Sendable {
        /// What the router is told beside the socket: a message needs a byte.
        private static let word: [UInt8] = [1]

        private let descriptor: Descriptor

        fileprivate init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }

        /// Introduces a process: sends this end of its socket pair. False where the lobby is full.
        func enter(with end: borrowing Descriptor) -> Bool {
            Entrance.word.withUnsafeBytes { descriptor.give(end, $0) }
        }

        /// In the router: the lobby ends with the last of the other processes.
        func closeInRouter() { closeInChild(descriptor.number) }
    }

    let entrance: Entrance
    private let exit: ParentOwned<Descriptor>

    /// Throws what socketpair(2) does.
    init(in descriptors: ParentDescriptors) throws(SystemError) {
        let ends = try DescriptorChannel()
        entrance = Entrance(ends.giving)
        exit = ParentOwned(ends.taking, in: descriptors)
    }

    /// A copy of the router's end. It is no descriptor of the parent alone, so the next process that is forked has it.
    func exitForRouter() throws(SystemError) -> Descriptor { try exit.resource.duplicated() }
}

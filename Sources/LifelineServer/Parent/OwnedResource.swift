import Posix

/// Something that is held until it is closed: a property of a class cannot be consumed, only emptied.
final class OwnedResource<Value: ~Copyable> {
    // Each access ends where it begins, with a call of the system at most: none meets another. With the checks, those of
    // the handler among them, a request of 16 takes 4 % more instructions (tools/dev/instructions).
    @exclusivity(unchecked) fileprivate var value: Value?

    init(_ value: consuming Value?) { self.value = consume value }

    func close() { value = nil }
}

extension OwnedResource where Value == CleanData {
    var number: Int32? { value?.number }
    func forget() { value?.forget() }
}

extension OwnedResource where Value == Descriptor {
    var number: Int32? { value?.number }
    func accept() throws(SystemError) -> Accepted? { try value?.accept() ?? nil }
    func dropNewHandshakes() { value?.dropNewHandshakes() }
}

extension OwnedResource where Value == Pidfile {
    var number: Int32? { value?.number }
}

extension OwnedResource where Value == SignalDescriptor {
    var number: Int32? { value?.number }
    func next() -> (signal: Int32, sender: ProcessID)? { value?.next() ?? nil }
}

extension OwnedResource where Value == DescriptorCount {
    var now: Int { value?.now ?? 0 }
}

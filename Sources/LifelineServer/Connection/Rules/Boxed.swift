/// A value in memory of its own, for a part of a connection that most connections do not have: 8 bytes where there is none.
///
/// A copy of it is a copy of the value.
@propertyWrapper
struct Boxed<Value> {
    private final class Box {
        // One owner changes it, and copies it first where there is another.
        @exclusivity(unchecked) var value: Value?

        init(_ value: Value) { self.value = value }
    }

    private var box: Box?

    init(wrappedValue: Value?) { box = wrappedValue.map { Box($0) } }

    var wrappedValue: Value? {
        @inline(__always) get { box?.value }
        _modify {
            guard let shared = box else {
                var value: Value?
                defer { if let value { box = Box(value) } }
                yield &value
                return
            }
            if !isKnownUniquelyReferenced(&box), let value = shared.value { box = Box(value) }
            yield &box!.value
        }
    }
}

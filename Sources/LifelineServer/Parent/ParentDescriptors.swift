import Posix

/// The open descriptors that are the parent's alone. Each new child closes them: a fork copies every descriptor, and no
/// program follows that would close it.
///
/// A descriptor is listed here for as long as a `ParentOwned` holds it, so that its owner need not think of it. A test
/// compares the descriptors of the parent with those of its children. The list is a bit for each number: a child reads it
/// in place, and writes to no memory that it shares with the parent.
final class ParentDescriptors {
    private static let bits = 64

    @exclusivity(unchecked) private var words: UnsafeMutablePointer<UInt64>
    @exclusivity(unchecked) private var count = 4

    init() {
        words = .allocate(capacity: count)
        words.initialize(repeating: 0, count: count)
    }

    deinit { words.deallocate() }

    /// Lists a descriptor that the parent was started with and never closes.
    func keep(_ number: Int32) { insert(number) }

    fileprivate func insert(_ number: Int32) {
        let word = Int(number) / ParentDescriptors.bits
        if word >= count { grow(to: word + 1) }
        words[word] |= 1 << UInt64(Int(number) % ParentDescriptors.bits)
    }

    fileprivate func remove(_ number: Int32) {
        words[Int(number) / ParentDescriptors.bits] &= ~(1 << UInt64(Int(number) % ParentDescriptors.bits))
    }

    private func grow(to least: Int) {
        let larger = max(least, 2 * count)
        let new = UnsafeMutablePointer<UInt64>.allocate(capacity: larger)
        new.initialize(from: words, count: count)
        (new + count).initialize(repeating: 0, count: larger - count)
        words.deallocate()
        (words, count) = (new, larger)
    }

    /// In a new child, before anything else: closes all of them.
    ///
    /// Their owners are not told, and the child never uses them again. To tell them would be to write to each of their
    /// pages, which parent and child share until then.
    func closeInChild() { forEach { Posix.closeInChild($0) } }

    /// Calls `body` with each number, in their order.
    func forEach(_ body: (Int32) -> Void) {
        for word in 0..<count {
            var left = words[word]
            while left != 0 {
                body(Int32(truncatingIfNeeded: word * ParentDescriptors.bits + left.trailingZeroBitCount))
                left &= left &- 1
            }
        }
    }
}

/// Something that owns one descriptor, or none.
protocol DescriptorOwner: ~Copyable {
    /// The number of its descriptor; nil where it has none.
    var descriptorNumber: Int32? { get }
}

extension CleanData: DescriptorOwner { var descriptorNumber: Int32? { number } }
extension DatagramSocket: DescriptorOwner { var descriptorNumber: Int32? { number } }
extension Descriptor: DescriptorOwner { var descriptorNumber: Int32? { number } }
extension Pidfile: DescriptorOwner { var descriptorNumber: Int32? { number } }
extension ResumeTimer: DescriptorOwner { var descriptorNumber: Int32? { number } }
extension SignalDescriptor: DescriptorOwner { var descriptorNumber: Int32? { number } }

/// A resource of the parent alone. Its descriptor is among `ParentDescriptors` from here until it is closed.
///
/// It is a class: Swift 6.3 leaves out the `deinit` of a generic struct that is not copyable in some optimised builds. The
/// number then stays listed, and a child closes the connection that gets it next.
final class ParentOwned<Resource: DescriptorOwner & ~Copyable> {
    let resource: Resource
    private let number: Int32?
    private let descriptors: ParentDescriptors

    init(_ resource: consuming Resource, in descriptors: ParentDescriptors) {
        number = resource.descriptorNumber
        self.resource = resource
        self.descriptors = descriptors
        if let number { descriptors.insert(number) }
    }

    deinit {
        if let number { descriptors.remove(number) }
    }
}

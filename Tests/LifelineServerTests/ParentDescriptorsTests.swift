import Glibc
import Posix
import Testing

@testable import LifelineServer

@Suite("Descriptors of the parent alone")
struct ParentDescriptorsTests {
    private func numbers(_ descriptors: ParentDescriptors) -> [Int32] {
        var numbers: [Int32] = []
        descriptors.forEach { numbers.append($0) }
        return numbers
    }

    /// Owns a number that is no descriptor's.
    private struct Number: DescriptorOwner {
        let descriptorNumber: Int32?
    }

    @Test("A descriptor is listed for as long as it is owned")
    func owned() throws {
        let descriptors = ParentDescriptors()
        func own() throws {
            let event = ParentOwned(try Descriptor.event(), in: descriptors)
            let number = event.resource.number
            #expect(numbers(descriptors) == [number])
        }
        try own()
        #expect(numbers(descriptors).isEmpty)
    }

    @Test("What has no descriptor lists none")
    func none() {
        let descriptors = ParentDescriptors()
        let owned = ParentOwned(Number(descriptorNumber: nil), in: descriptors)
        let number = owned.resource.descriptorNumber
        #expect(numbers(descriptors).isEmpty && number == nil)
    }

    @Test("All numbers are listed, in their order, up to the highest there are")
    func all() {
        let descriptors = ParentDescriptors()
        var owned: [Int32: Owner] = [:]
        #expect(numbers(descriptors).isEmpty)
        for number: Int32 in [300, 3, 4, 6, 62, 63, 64, 65, 255, 70_000, 256] {
            owned[number] = Owner(ParentOwned(Number(descriptorNumber: number), in: descriptors))
        }
        #expect(numbers(descriptors) == [3, 4, 6, 62, 63, 64, 65, 255, 256, 300, 70_000])
        for number: Int32 in [4, 64, 70_000] { owned[number] = nil }
        #expect(numbers(descriptors) == [3, 6, 62, 63, 65, 255, 256, 300])
    }

    @Test("A whole word is listed")
    func whole() {
        let descriptors = ParentDescriptors()
        let owned = (64...127).map { Owner(ParentOwned(Number(descriptorNumber: $0), in: descriptors)) }
        #expect(numbers(descriptors) == Array(64...127) && owned.count == 64)
    }

    private final class Owner {
        let owned: ParentOwned<Number>
        init(_ owned: consuming ParentOwned<Number>) { self.owned = owned }
    }
}

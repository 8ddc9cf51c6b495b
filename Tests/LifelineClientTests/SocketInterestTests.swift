import Testing

@testable import LifelineClient

@Suite struct SocketInterestTests {
    @Test func aPlainSocketWritesWhenItIsWritable() {
        var interest = SocketInterest()
        #expect(interest.canRead(isReadable: true, isWritable: false))
        #expect(!interest.canRead(isReadable: false, isWritable: true))
        #expect(interest.needsWriting(hasUnsent: true) && !interest.needsWriting(hasUnsent: false))
        interest.noteRead(.wouldBlock(.read))
        interest.noteWrite(.wouldBlock(.write))
        #expect(interest.canRead(isReadable: true, isWritable: false) && interest.needsWriting(hasUnsent: true))
    }

    @Test func aWriteMayWaitForBytesToRead() {
        var interest = SocketInterest()
        interest.noteWrite(.wouldBlock(.read))
        #expect(!interest.needsWriting(hasUnsent: true))
        interest.noteWrite(.bytes(1))
        #expect(interest.needsWriting(hasUnsent: true))
    }

    @Test func aReadMayWaitForRoomToWrite() {
        var interest = SocketInterest()
        interest.noteRead(.wouldBlock(.write))
        #expect(interest.needsWriting(hasUnsent: false))
        #expect(interest.canRead(isReadable: false, isWritable: true))
        #expect(!interest.canRead(isReadable: true, isWritable: false))
        interest.noteRead(.bytes(1))
        #expect(!interest.needsWriting(hasUnsent: false))
    }
}

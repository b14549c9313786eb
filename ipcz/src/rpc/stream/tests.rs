use super::message::{self, ToReader, ToWriter};
use crate::rpc::flow::Amount;
use crate::rpc::message::credit;

#[test]
fn what_is_written_is_read() {
    assert_eq!(ToReader::parse(&message::ITEM_HEAD), Ok(ToReader::Item));
    assert_eq!(ToReader::parse(&message::end()), Ok(ToReader::End));
    assert_eq!(ToReader::parse(&message::failure("no\n")), Ok(ToReader::Failure("no\\n".into())));
    assert_eq!(ToWriter::parse(&message::stop("no")), Ok(ToWriter::Stop("no".into())));
    let amount = Amount { messages: 2, bytes: 3 };
    assert_eq!(ToWriter::parse(&credit(amount)), Ok(ToWriter::Credit(amount)));
}

#[test]
fn what_is_no_message_is_refused() {
    for bytes in
        [&[][..], &[16; 8], &[17, 0, 0, 0, 0, 0, 0], &[17, 0, 0, 0, 0, 0, 0, 0, 0], &[8; 20]]
    {
        assert!(ToReader::parse(bytes).is_err());
        assert!(ToWriter::parse(bytes).is_err());
    }
    assert!(ToReader::parse(&credit(Amount::default())).is_err());
    assert!(ToWriter::parse(&message::end()).is_err());
}

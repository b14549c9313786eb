//! Streams whose items are made where their method is served.

use std::future::Future;
use std::pin::{Pin, pin};

use serde::Serialize;

use super::writer::StreamSender;
use crate::Portal;
use crate::rpc::context;
use crate::rpc::flow::Amount;

/// Sends the items of a stream, until there are no more or nobody wants them.
pub(in crate::rpc) type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where items come from, and what sends them once there is a portal.
pub(super) struct Source<T> {
    drive: Box<dyn FnOnce(StreamSender<T>) -> Driver + Send>,
}

impl<T: Serialize + Send + 'static> Source<T> {
    pub(super) fn new(items: impl futures_core::Stream<Item = T> + Send + 'static) -> Self {
        let drive = |mut sender: StreamSender<T>| -> Driver {
            Box::pin(async move {
                let mut items = pin!(items);
                while let Some(item) =
                    std::future::poll_fn(|context| items.as_mut().poll_next(context)).await
                {
                    if let Err(error) = sender.send(item).await {
                        // An item that cannot be sent ends the stream; a reader that is gone hears nothing.
                        let _ = sender.fail(&error.to_string());
                        return;
                    }
                }
                let _ = sender.finish();
            })
        };
        Self { drive: Box::new(drive) }
    }
}

impl<T> Source<T> {
    /// Leaves the sending to the server whose method gives the stream. Gives the stream's end.
    pub(super) fn begin(self) -> Result<Portal, String> {
        let refused = "is made of items of this process: only a method's result can be that. Use `Stream::pair`";
        let node = context::context().node().ok_or(refused)?;
        let (near, far) = node.open_portals();
        let driver = (self.drive)(StreamSender::new(near, Amount::default()));
        context::leave_driver(driver).map(|()| far).ok_or_else(|| refused.into())
    }
}

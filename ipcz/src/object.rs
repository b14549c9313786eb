//! Values of the application in parcels.

use std::any::{Any, type_name};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Parcel;
use crate::parcel::Apart;
use crate::shell::{AnyValue, Loose, Shared, Value};
use crate::sync::lock;

/// A value of the application that travels in parcels as itself: an *application object*.
///
/// Between portals of one node it stays the value that it was: nothing is copied or encoded, and
/// the receiver takes it out again by its type. Only when it really leaves its node, which may be
/// long after it was put, its serializer makes a [`Parcel`] of it, and that is what arrives at the
/// other end: a [`Handle::Parcel`](crate::Handle::Parcel) in its place.
///
/// The serializer runs once, on whichever thread finds that the value has to leave: that of a put,
/// or the node's background thread. It runs under no lock and may use the node, but not wait for
/// what that thread would bring. What is put after the object on the same route waits behind it.
///
/// An object that was made without a serializer, or whose serializer gives `None` or panics, cannot
/// leave its node. To put the former where the peer is known to be on another node is refused
/// ([`PutErrorKind::CannotLeave`](crate::PutErrorKind::CannotLeave)). If it shows later, because the
/// receiving portal moved away with the object unread or was about to, the route of the parcel is
/// cut, and both its ends say
/// [`DisconnectKind::Unsendable`](crate::DisconnectKind::Unsendable).
///
/// What a serializer puts into its parcel is known only then. Handles that need a broker's relay, where there
/// is none, therefore show after the put, as a route that is cut
/// ([`DisconnectKind::NotRelayed`](crate::DisconnectKind::NotRelayed)).
///
/// An object that nobody takes is dropped, under no lock. A node that is shut down while a serializer
/// runs does not wait for it: that parcel is lost.
///
/// ```
/// use ipcz::{Handle, Object, Parcel};
///
/// let (near, far) = ipcz::Node::broker()?.open_portals();
/// let colours = vec!["red".to_string(), "blue".to_string()];
/// let object = Object::with_serializer(colours, |it| Some(Parcel::new(it.join(","))));
/// near.put(Parcel::with_handles("", vec![Handle::from(object)]))?;
///
/// let mut parcel = far.recv_blocking()?;
/// let colours = match parcel.take_handle(0) {
///     // From this node: the very `Vec` that was put.
///     Some(Handle::Object(object)) => object.downcast::<Vec<String>>().unwrap(),
///     // From any other: what its serializer made of it.
///     Some(Handle::Parcel(bytes)) => {
///         let text = String::from_utf8_lossy(bytes.bytes()).into_owned();
///         text.split(',').map(String::from).collect()
///     }
///     _ => panic!("nobody puts that"),
/// };
/// assert_eq!(colours, ["red", "blue"]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Object(Value);

/// Makes a parcel of a value.
type Serializer<T> = Box<dyn FnOnce(T) -> Option<Parcel> + Send>;

struct Held<T> {
    value: Option<T>,
    serializer: Option<Serializer<T>>,
}

impl Object {
    /// An object that cannot leave its node.
    #[must_use]
    pub fn new<T: Send + 'static>(value: T) -> Self {
        Self::hold(value, None)
    }

    /// An object of which `serialize` makes a parcel when it leaves its node, or nothing if it
    /// cannot leave after all; the value is its to drop. The parcel may hold portals of the node,
    /// parcels and further objects, within the limits of parcels.
    #[must_use]
    pub fn with_serializer<T: Send + 'static>(
        value: T,
        serialize: impl FnOnce(T) -> Option<Parcel> + Send + 'static,
    ) -> Self {
        Self::hold(value, Some(Box::new(serialize)))
    }

    fn hold<T: Send + 'static>(value: T, serializer: Option<Serializer<T>>) -> Self {
        Self(Value(Box::new(Mutex::new(Held { value: Some(value), serializer }))))
    }

    /// Whether the value is a `T`.
    #[must_use]
    pub fn is<T: 'static>(&self) -> bool {
        lock(&self.0.0).any().is::<Option<T>>()
    }

    /// The value, if it is a `T`, left where it is.
    pub fn get_mut<T: 'static>(&mut self) -> Option<&mut T> {
        self.any().downcast_mut::<Option<T>>()?.as_mut()
    }

    /// Takes the value out.
    ///
    /// # Errors
    /// The object as it was, if the value is not a `T`.
    pub fn downcast<T: 'static>(mut self) -> Result<T, Self> {
        match self.any().downcast_mut::<Option<T>>().and_then(Option::take) {
            Some(value) => Ok(value),
            None => Err(self),
        }
    }

    /// Whether it may be put where the peer is on another node.
    #[must_use]
    pub fn can_leave(&self) -> bool {
        lock(&self.0.0).has_serializer()
    }

    fn any(&mut self) -> &mut dyn Any {
        self.0.0.get_mut().unwrap_or_else(PoisonError::into_inner).any()
    }

    pub(crate) fn into_value(self) -> Value {
        self.0
    }

    pub(crate) fn from_value(value: Value) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        lock(&self.0.0).fmt(f)
    }
}

impl<T> fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({})", type_name::<T>())
    }
}

impl<T: Send + 'static> AnyValue for Held<T> {
    fn any(&mut self) -> &mut dyn Any {
        &mut self.value
    }

    fn has_serializer(&self) -> bool {
        self.serializer.is_some()
    }

    fn serialize(&mut self, node: &Arc<Shared>) -> Option<Loose> {
        let (serialize, value) = (self.serializer.take()?, self.value.take()?);
        Apart::take(serialize(value)?).ok()?.loosen(node)
    }
}

// The peer in gin + pgx: one process on GOMAXPROCS threads, tokens verified by golang-jwt, a pgxpool that prepares
// and caches statements; stored JSON passes through as json.RawMessage; answers about licences are kept by gomemcache.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

type key struct {
	algorithm string
	public    interface{}
}

type server struct {
	pool                  *pgxpool.Pool
	caches                [32]*memcache.Client // Debian's keeps two connections each
	turn                  uint32
	app, issuer, audience string
	keys                  map[string]key
	read, list, write     string
	licence               string
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func loadKeys(path string) map[string]key {
	raw, err := os.ReadFile(path)
	must(err)
	var set struct {
		Keys []struct{ Kid, Kty, N, E, X, Y string }
	}
	must(json.Unmarshal(raw, &set))
	number := func(s string) *big.Int {
		b, err := base64.RawURLEncoding.DecodeString(s)
		must(err)
		return new(big.Int).SetBytes(b)
	}
	keys := map[string]key{}
	for _, k := range set.Keys {
		switch k.Kty {
		case "EC":
			keys[k.Kid] = key{"ES256", &ecdsa.PublicKey{Curve: elliptic.P256(), X: number(k.X), Y: number(k.Y)}}
		case "RSA":
			keys[k.Kid] = key{"RS256", &rsa.PublicKey{N: number(k.N), E: int(number(k.E).Int64())}}
		}
	}
	return keys
}

// verify gives the subject; the algorithm comes from the key, never from the token.
func (s *server) verify(token string) (string, error) {
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(token, claims, func(t *jwt.Token) (interface{}, error) {
		kid, _ := t.Header["kid"].(string)
		k, ok := s.keys[kid]
		if !ok || k.algorithm != t.Method.Alg() {
			return nil, errors.New("no such key")
		}
		return k.public, nil
	})
	if err != nil {
		return "", err
	}
	sub, _ := claims["sub"].(string)
	if !claims.VerifyIssuer(s.issuer, true) || !claims.VerifyExpiresAt(time.Now().Unix(), true) || sub == "" ||
		(s.audience != "" && !claims.VerifyAudience(s.audience, true)) {
		return "", errors.New("claims")
	}
	return sub, nil
}

func (s *server) authenticate(c *gin.Context) {
	header := c.GetHeader("Authorization")
	if !strings.HasPrefix(header, "Bearer ") {
		refuse(c, http.StatusUnauthorized, "Not authenticated")
		return
	}
	sub, err := s.verify(header[len("Bearer "):])
	if err != nil {
		refuse(c, http.StatusUnauthorized, "Invalid token")
		return
	}
	c.Set("sub", sub)
}

func refuse(c *gin.Context, status int, detail string) {
	c.AbortWithStatusJSON(status, gin.H{"detail": detail})
}

func fail(c *gin.Context, err error, status int, detail string) {
	if !errors.Is(err, pgx.ErrNoRows) {
		status, detail = http.StatusInternalServerError, "Internal error"
		log.Print(err)
	}
	refuse(c, status, detail)
}

// As they are shown: stored JSON goes through as it is.
type graph struct {
	ID      string          `json:"id"`
	Name    string          `json:"name"`
	Data    json.RawMessage `json:"data,omitempty"`
	Version int32           `json:"version"`
	Created time.Time       `json:"created_at"`
	Updated time.Time       `json:"updated_at"`
}

func (s *server) get(c *gin.Context) {
	var g graph
	err := s.pool.QueryRow(c, s.read, c.Param("id"), s.app, s.issuer, c.GetString("sub")).
		Scan(&g.ID, &g.Name, &g.Version, &g.Created, &g.Updated, (*[]byte)(&g.Data))
	if err != nil {
		fail(c, err, http.StatusNotFound, "Graph not found")
		return
	}
	c.JSON(http.StatusOK, gin.H{"graph": g})
}

func (s *server) save(c *gin.Context) {
	var body struct {
		Name    *string         `json:"name"`
		Data    json.RawMessage `json:"data"`
		Message *string         `json:"commit_message"`
	}
	if err := c.ShouldBindJSON(&body); err != nil || (body.Data != nil && body.Data[0] != '{') {
		refuse(c, http.StatusUnprocessableEntity, "The body does not match the schema.")
		return
	}
	var data, sum interface{}
	var size *int32
	if body.Data != nil {
		hash := sha256.Sum256(body.Data)
		n := int32(len(body.Data))
		data, sum, size = []byte(body.Data), hash[:], &n
	}
	var outcome string
	var version *int32
	err := s.pool.QueryRow(c, s.write, c.Param("id"), s.app, s.issuer, c.GetString("sub"), body.Name, data, sum, size,
		body.Message).Scan(&outcome, &version)
	switch {
	case err != nil:
		fail(c, err, http.StatusNotFound, "Graph not found")
	case outcome == "missing":
		refuse(c, http.StatusNotFound, "Graph not found")
	case outcome == "denied":
		refuse(c, http.StatusForbidden, "Access denied")
	case outcome == "base":
		refuse(c, http.StatusPreconditionRequired, "Say which version was edited")
	default:
		c.JSON(http.StatusOK, gin.H{"graph": gin.H{"id": c.Param("id"), "version": *version}})
	}
}

func (s *server) graphs(c *gin.Context) {
	limit, err := strconv.Atoi(c.DefaultQuery("limit", "50"))
	if err != nil || limit < 1 || limit > 200 {
		limit = 50
	}
	rows, err := s.pool.Query(c, s.list, c.Param("id"), s.app, s.issuer, c.GetString("sub"), limit)
	if err != nil {
		fail(c, err, http.StatusNotFound, "Workspace not found")
		return
	}
	defer rows.Close()
	found := make([]graph, 0, limit)
	n := 0
	for ; rows.Next(); n++ {
		var id, name *string
		var version *int32
		var created, updated *time.Time
		if err = rows.Scan(&id, &name, &version, &created, &updated); err != nil {
			break
		}
		if id != nil {
			found = append(found, graph{ID: *id, Name: *name, Version: *version, Created: *created, Updated: *updated})
		}
	}
	if err == nil {
		err = rows.Err()
	}
	if err == nil && n == 0 {
		err = pgx.ErrNoRows
	}
	if err != nil {
		fail(c, err, http.StatusNotFound, "Workspace not found")
		return
	}
	c.JSON(http.StatusOK, gin.H{"graphs": found})
}

const day = 86400

// Answers are kept for a day as they are sent.
func (s *server) validate(c *gin.Context) {
	var body struct {
		Key     string `json:"license_key" binding:"required,max=160"`
		Machine string `json:"machine_id" binding:"required,max=256"`
		Version string `json:"version"`
	}
	if err := c.ShouldBindJSON(&body); err != nil {
		refuse(c, http.StatusUnprocessableEntity, "The body does not match the schema.")
		return
	}
	sum := sha256.Sum256([]byte(body.Key + "\n" + body.Machine))
	key := "license:" + hex.EncodeToString(sum[:])
	cache := s.caches[atomic.AddUint32(&s.turn, 1)%uint32(len(s.caches))]
	if kept, err := cache.Get(key); err == nil {
		c.Data(http.StatusOK, "application/json; charset=utf-8", kept.Value)
		return
	}
	var answer struct {
		Valid    bool            `json:"valid"`
		Code     string          `json:"code"`
		Tier     string          `json:"tier"`
		Expires  *time.Time      `json:"expires_at"`
		Features json.RawMessage `json:"features"`
		Quotas   json.RawMessage `json:"quotas"`
		Until    time.Time       `json:"cached_until"`
	}
	err := s.pool.QueryRow(c, s.licence, s.app, body.Key, body.Machine).
		Scan(&answer.Tier, &answer.Expires, (*[]byte)(&answer.Features), (*[]byte)(&answer.Quotas), &answer.Valid)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		fail(c, err, http.StatusInternalServerError, "Internal error")
		return
	}
	if !answer.Valid {
		c.JSON(http.StatusOK, gin.H{"valid": false, "code": "REFUSED"})
		return
	}
	answer.Code, answer.Until = "VALID", time.Now().Add(day*time.Second)
	text, err := json.Marshal(answer)
	must(err)
	if err = cache.Set(&memcache.Item{Key: key, Value: text, Expiration: day}); err != nil {
		log.Print(err)
	}
	c.Data(http.StatusOK, "application/json; charset=utf-8", text)
}

func main() {
	dir := os.Getenv("PEER_SQL")
	sql := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name+".sql"))
		must(err)
		return string(text)
	}
	config, err := pgxpool.ParseConfig("") // PGHOST, PGPORT, PGUSER, PGDATABASE
	must(err)
	size, err := strconv.Atoi(os.Getenv("PEER_POOL"))
	must(err)
	config.MaxConns, config.MinConns = int32(size), int32(size)
	pool, err := pgxpool.ConnectConfig(context.Background(), config)
	must(err)
	s := &server{
		pool: pool, keys: loadKeys(os.Getenv("PEER_JWKS")),
		app: os.Getenv("PEER_APP"), issuer: os.Getenv("PEER_ISSUER"), audience: os.Getenv("PEER_AUDIENCE"),
		read: sql("read"), list: sql("list"), write: sql("write"), licence: sql("licence"),
	}
	for i := range s.caches {
		s.caches[i] = memcache.New(os.Getenv("PEER_MEMCACHED"))
	}

	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.Use(gin.Recovery())
	router.GET("/health", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "alive"}) })
	api := router.Group("/api/v1", s.authenticate)
	api.GET("/graphs/:id", s.get)
	api.PUT("/graphs/:id", s.save)
	api.GET("/workspaces/:id/graphs", s.graphs)
	api.POST("/licenses/validate", s.validate)
	must(http.ListenAndServe("127.0.0.1:"+os.Getenv("PEER_PORT"), router))
}
